package invalid.outrigger.conformance.plugins;

import java.util.Locale;
import org.apache.apisix.plugin.runner.PostRequest;
import org.apache.apisix.plugin.runner.PostResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Puts the upstream's body into upper case. */
@Component
public class ResponseBodyFilter implements PluginFilter {

  @Override
  public String name() {
    return "conf-response-body";
  }

  @Override
  public Boolean requiredRespBody() {
    return true;
  }

  @Override
  public void postFilter(PostRequest request, PostResponse response, PluginFilterChain chain) {
    response.setBody(request.getBody().toUpperCase(Locale.ROOT));
    chain.postFilter(request, response);
  }
}
