package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Answers with the request as this runner sees it. */
@Component
public class EchoFilter implements PluginFilter {

  @Override
  public String name() {
    return "conf-echo";
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("id", request.getRequestId());
    seen.put("method", request.getMethod().name());
    seen.put("path", request.getPath());
    seen.put("args", lists(request.getArgs()));
    seen.put("headers", lists(request.getHeaders()));
    seen.put("source_ip", request.getSourceIP());
    Json.tell(response, seen);
  }

  private static Map<String, List<String>> lists(Map<String, String> entries) {
    Map<String, List<String>> lists = new TreeMap<>();
    entries.forEach((name, value) -> lists.put(name, List.of(value == null ? "" : value)));
    return lists;
  }
}
