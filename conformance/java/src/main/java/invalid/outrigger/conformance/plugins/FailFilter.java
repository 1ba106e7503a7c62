package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Breaks in the middle of a call: "throw" the call, "exit" the process. */
@Component
public class FailFilter implements PluginFilter {

  static class Conf {
    String how = "throw";
  }

  @Override
  public String name() {
    return "conf-fail";
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    if (Json.parse(request.getConfig(this), Conf.class).how.equals("exit")) {
      Runtime.getRuntime().halt(3);
    }
    throw new IllegalStateException("conf-fail was told to");
  }
}
