package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/**
 * Answers with the gateway's variables. A Java filter says beforehand which ones it may want, so a
 * configuration chooses from these.
 */
@Component
public class VarsFilter implements PluginFilter {

  static class Conf {
    List<String> vars = List.of();
  }

  @Override
  public String name() {
    return "conf-vars";
  }

  @Override
  public List<String> requiredVars() {
    return List.of(
        "remote_addr",
        "request_uri",
        "uri",
        "args",
        "arg_color",
        "arg_nosuch",
        "http_x_probe",
        "cookie_session",
        "request_method",
        "scheme",
        "host",
        "route_id",
        "server_port",
        "request_id",
        "content_type",
        "nosuch_variable");
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    Conf conf = Json.parse(request.getConfig(this), Conf.class);
    Map<String, String> values = new LinkedHashMap<>();
    conf.vars.forEach(name -> values.put(name, request.getVars(name)));
    Json.tell(response, values);
  }
}
